/*
 * What the fake driver libraries share: their answers come from FAKE_* variables of the container.
 *
 * Of the C library only getenv is used, so that the libraries load with any glibc, also one older than the compiler's.
 */

#ifndef ANSWERS_H
#define ANSWERS_H

extern char *getenv(const char *name);

#define EXPORTED __attribute__((visibility("default")))

static const char *text_setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static int number_setting(const char *name, int otherwise)
{
    const char *digit = text_setting(name, "");
    int number = 0;

    if (!*digit)
        return otherwise;
    for (; *digit >= '0' && *digit <= '9'; digit++)
        number = 10 * number + (*digit - '0');
    return number;
}

/* Copies as much as fits, and always ends the text. */
static void copy_text(char *to, const char *from, unsigned size)
{
    unsigned position = 0;

    if (!size)
        return;
    for (; position + 1 < size && from[position]; position++)
        to[position] = from[position];
    to[position] = '\0';
}

static int gpu_count(void) { return number_setting("FAKE_GPU_COUNT", 1); }
static const char *gpu_name(void) { return text_setting("FAKE_GPU_NAME", "Fake GPU"); }
static unsigned long long gpu_memory(void) { return (unsigned long long)number_setting("FAKE_GPU_MEMORY_MIB", 81559) << 20; }
/* 90 for 9.0 */
static int compute_capability(void) { return number_setting("FAKE_COMPUTE_CAPABILITY", 90); }
/* 12080 for 12.8 */
static int cuda_version(void) { return number_setting("FAKE_CUDA_VERSION", 12080); }

#endif
