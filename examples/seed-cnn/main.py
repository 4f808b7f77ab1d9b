"""Lists the GPUs that TensorFlow sees, then trains a small convolutional network."""

import numpy as np
import tensorflow as tf

CLASSES = 10
SAMPLES = 512
SIDE = 28


def make_model():
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Conv2D(32, (3, 3), activation="relu", input_shape=(SIDE, SIDE, 1)),
            tf.keras.layers.MaxPooling2D((2, 2)),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def make_data():
    """Noise with a bright row per class: something that a small network can learn."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, CLASSES, SAMPLES)
    images = generator.normal(0.0, 0.1, (SAMPLES, SIDE, SIDE, 1)).astype("float32")
    for index, label in enumerate(labels):
        images[index, 2 * label : 2 * label + 2] += 1.0
    return images, labels


def main():
    print("GPUs:", tf.config.list_physical_devices("GPU") or "none")
    images, labels = make_data()
    make_model().fit(images, labels, epochs=2, batch_size=32)


if __name__ == "__main__":
    main()
