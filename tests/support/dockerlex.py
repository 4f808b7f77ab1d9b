"""How BuildKit reads a word of a Dockerfile, written again from its rules: what quoting is tested against."""


class Expands(ValueError):
    """The word refers to a variable: somebody's value would be replaced."""


def read_word(word: str) -> str:
    """The value of one word: quotes removed, escapes undone. Raises Expands, ValueError if unbalanced."""
    result = []
    position = 0
    while position < len(word):
        character = word[position]
        if character == "'":
            end = word.index("'", position + 1)
            result.append(word[position + 1 : end])
            position = end + 1
        elif character == '"':
            text, position = _read_double_quoted(word, position + 1)
            result.append(text)
        elif character == "\\":
            result.append(word[position + 1])
            position += 2
        elif character == "$":
            raise Expands(word)
        else:
            result.append(character)
            position += 1
    return "".join(result)


def _read_double_quoted(word: str, position: int) -> tuple[str, int]:
    result = []
    while word[position] != '"':
        character = word[position]
        if character == "$":
            raise Expands(word)
        if character == "\\" and word[position + 1] in '"$\\':
            position += 1
            character = word[position]
        result.append(character)
        position += 1
    return "".join(result), position + 1
