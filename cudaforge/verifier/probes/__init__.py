"""What runs inside the image. Python 3.6 and its standard library alone.

`core`, `stages`, `samples`, `forward`, `nvml`, `hardware`, `software`, `elf`, `libraries` and `compiler` are
the driver; `inspection`, `inventory`, `ldpath` and `kernels` look at files where no framework runs; every
other module is the proof of one framework and has these names:

    ENVIRONMENT                            environment that the framework needs in the probe
    load() -> module                       import it, set it up
    describe(module)                       what it says of itself
    find_devices(module)                   the GPUs it lists, or why there are none
    train(module, samples, device, ...)    train the model of `samples` on "gpu" or "cpu", and
    differentiate(module, network, device) the answer and the gradient of `forward`'s network; or, for a
    compute(module, network, device)       framework that trains nothing, the answer alone
    train(module, samples, device, ...)    train the model of `samples` on "gpu" or "cpu", or, for a
    compute(module, network, device)       framework that trains nothing: what it makes of `forward`'s network
    PACKAGE                                the distributions that bring it: a pattern of their names
    ROOTS                                  the libraries that it loads itself, as patterns below sys.path
    KERNELS                                those that hold code for GPUs, if it is a CUDA build
    COMPILES = True                        where these do not say on which GPUs it runs: it compiles more
                                           (none of these three for a framework of Python alone)
    DEVICES                                where it can, if that is not ("cpu", "gpu")

and, where the framework has it, on GPUs alone:

    limit_memory(module, limit)            let no GPU give more than `limit` bytes, or as much as it has
    mix(module, samples, device, ...)      train in mixed precision
    run_compiled(module, network, device)  the answer of `forward`'s network through the framework's compiler
    reduce(module)                         add up what several GPUs hold
    measure_memory(module)                 how much GPU memory was taken, and what held it back
"""
