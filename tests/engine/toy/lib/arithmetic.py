"""What one toy step imports and another does not."""


def double(number: int) -> int:
    return number * 2
