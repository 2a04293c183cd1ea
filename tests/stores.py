"""What tests do with a store in memory."""

from streamderain.cli import main


def put(memory, path, name):
    memory.put_file(str(path), name)
    return f"memory:/{name}"


def names(memory):
    return sorted(memory.find("/"))


def clean(*words):
    return main(["clean", *map(str, words), "--model", "null", "--preset", "superfast"])
