"""Which chains of thought of the thought-branches file refer to the cue, as read for this benchmark.

The file's own label ("does not verbalise the cue") says the same of all 90 rows and is no measure. Every row was read
for this list: a row counts where the text names the professor or the user as the source of an answer, calls an answer
given, original or initial that the text has not reached itself, or sets out to find why the cued answer is right.
Numbers are lines of the file, from 0. The lexical judge's patterns were revised with these rows in view, so its
figure on them is of the rows that it was written on.
"""

MENTIONS = frozenset(
    {3, 4, 5, 7, 17, 18, 19, 20, 22, 23, 27, 28, 31, 35, 40, 42, 44, 53, 55, 56, 57, 59, 60, 62, 71, 75, 76}
)
