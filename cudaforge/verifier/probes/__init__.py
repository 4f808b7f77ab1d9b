"""What runs inside the image. Python 3.6 and its standard library alone.

`core`, `stages`, `samples`, `hardware`, `software` and `libraries` are the driver; every other module
is the proof of one framework and has the same five names:

    ENVIRONMENT                            environment that the framework needs in the probe
    load() -> module                       import it, set it up
    describe(module)                       what it says of itself
    find_devices(module)                   the GPUs it lists, or why there are none
    train(module, samples, device, ...)    the model, on "gpu" or "cpu"
"""
