/* A libcuda.so.1 that answers questions about devices and does no work. */

#include "answers.h"

enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_INVALID_VALUE = 1,
    CUDA_ERROR_NOT_INITIALIZED = 3,
    CUDA_ERROR_NO_DEVICE = 100,
    CUDA_ERROR_INVALID_DEVICE = 101,
    CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803,
};

enum {
    ATTRIBUTE_MAX_THREADS_PER_BLOCK = 1,
    ATTRIBUTE_WARP_SIZE = 10,
    ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
    ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
    ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
};

static int initialized;

static int check_device(int device)
{
    if (!initialized)
        return CUDA_ERROR_NOT_INITIALIZED;
    return device >= 0 && device < gpu_count() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

EXPORTED int cuInit(unsigned flags)
{
    int error = number_setting("FAKE_INIT_ERROR", CUDA_SUCCESS);

    if (flags)
        return CUDA_ERROR_INVALID_VALUE;
    if (error)
        return error;
    if (!gpu_count())
        return CUDA_ERROR_NO_DEVICE;
    initialized = 1;
    return CUDA_SUCCESS;
}

EXPORTED int cuDriverGetVersion(int *version)
{
    *version = cuda_version();
    return CUDA_SUCCESS;
}

EXPORTED int cuDeviceGetCount(int *count)
{
    if (!initialized)
        return CUDA_ERROR_NOT_INITIALIZED;
    *count = gpu_count();
    return CUDA_SUCCESS;
}

EXPORTED int cuDeviceGet(int *device, int ordinal)
{
    *device = ordinal;
    return check_device(ordinal);
}

EXPORTED int cuDeviceGetName(char *name, int size, int device)
{
    if (size > 0)
        copy_text(name, gpu_name(), (unsigned)size);
    return check_device(device);
}

EXPORTED int cuDeviceTotalMem_v2(unsigned long *bytes, int device)
{
    *bytes = (unsigned long)gpu_memory();
    return check_device(device);
}

EXPORTED int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    switch (attribute) {
    case ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = compute_capability() / 10; break;
    case ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = compute_capability() % 10; break;
    case ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 132; break;
    case ATTRIBUTE_WARP_SIZE: *value = 32; break;
    case ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = 1024; break;
    default: *value = 0;
    }
    return check_device(device);
}

EXPORTED int cuGetErrorName(int error, const char **name)
{
    switch (error) {
    case CUDA_SUCCESS: *name = "CUDA_SUCCESS"; break;
    case CUDA_ERROR_NOT_INITIALIZED: *name = "CUDA_ERROR_NOT_INITIALIZED"; break;
    case CUDA_ERROR_NO_DEVICE: *name = "CUDA_ERROR_NO_DEVICE"; break;
    case CUDA_ERROR_INVALID_DEVICE: *name = "CUDA_ERROR_INVALID_DEVICE"; break;
    case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: *name = "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"; break;
    default: *name = 0; return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}
