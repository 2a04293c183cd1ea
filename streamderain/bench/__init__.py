"""``streamderain bench``: the parts of the program against the clock."""
