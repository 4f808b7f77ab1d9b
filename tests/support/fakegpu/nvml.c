/* A libnvidia-ml.so.1 that knows the fake driver's version and its GPUs. */

#include "answers.h"

enum {
    NVML_SUCCESS = 0,
    NVML_ERROR_INVALID_ARGUMENT = 2,
    NVML_ERROR_NO_PERMISSION = 4,
    NVML_ERROR_DRIVER_NOT_LOADED = 9,
    NVML_ERROR_LIB_RM_VERSION_MISMATCH = 18,
};

struct memory {
    unsigned long long total, free, used;
};

/* A handle is the device's number plus one: NULL is none. */
static int check_handle(void *device)
{
    unsigned long number = (unsigned long)device;
    return number >= 1 && number <= (unsigned long)gpu_count() ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

EXPORTED int nvmlInit_v2(void) { return number_setting("FAKE_NVML_ERROR", NVML_SUCCESS); }

/* What NVIDIA's own Python bindings begin with. */
EXPORTED int nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    return nvmlInit_v2();
}

EXPORTED int nvmlShutdown(void) { return NVML_SUCCESS; }

EXPORTED const char *nvmlErrorString(int error)
{
    switch (error) {
    case NVML_SUCCESS: return "Success";
    case NVML_ERROR_NO_PERMISSION: return "Insufficient Permissions";
    case NVML_ERROR_DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case NVML_ERROR_LIB_RM_VERSION_MISMATCH: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

EXPORTED int nvmlSystemGetDriverVersion(char *version, unsigned size)
{
    copy_text(version, text_setting("FAKE_DRIVER_VERSION", "570.124.06"), size);
    return NVML_SUCCESS;
}

EXPORTED int nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    *version = cuda_version();
    return NVML_SUCCESS;
}

EXPORTED int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = (unsigned)gpu_count();
    return NVML_SUCCESS;
}

EXPORTED int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = (void *)(unsigned long)(index + 1);
    return check_handle(*device);
}

EXPORTED int nvmlDeviceGetName(void *device, char *name, unsigned size)
{
    copy_text(name, gpu_name(), size);
    return check_handle(device);
}

EXPORTED int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory)
{
    memory->total = memory->free = gpu_memory();
    memory->used = 0;
    return check_handle(device);
}

EXPORTED int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor)
{
    *major = compute_capability() / 10;
    *minor = compute_capability() % 10;
    return check_handle(device);
}

/* The number of the device stands in the UUID's last group of twelve digits. */
EXPORTED int nvmlDeviceGetUUID(void *device, char *uuid, unsigned size)
{
    unsigned long number = (unsigned long)device - 1 + (unsigned long)number_setting("FAKE_GPU_FIRST", 0);
    char text[] = "GPU-00000000-0000-0000-0000-000000000000";
    unsigned place = sizeof text - 2;

    for (; number; number /= 10)
        text[place--] = (char)('0' + number % 10);
    copy_text(uuid, text, size);
    return check_handle(device);
}

EXPORTED int nvmlDeviceGetMigMode(void *device, unsigned *now, unsigned *later)
{
    *now = *later = (unsigned)number_setting("FAKE_MIG", 0);
    return check_handle(device);
}
