"""
How fast docxy is, side by side with what else could stand in its place: `./dev bench`.

`cases` says what is measured, `ways` through what, `place` where; `results`, `table`, `charts` and
`promises` make figures of it and touch neither network nor disk.
"""
