"""Measures answers against questions whose answers are known.

`questions` is what is asked and expected, `files` reads it in four formats, `asking` asks and judges one question,
`figures` makes figures of many, `comparing` holds them against an earlier run. Knows no storage and no HTTP.
"""
