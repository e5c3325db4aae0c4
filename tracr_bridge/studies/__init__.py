"""What the bridge adds to studies: rows of jaxcirc's catalogues.

jaxcirc finds them by the entry points of this distribution, as it finds those of any
other, and imports nothing of this package before a study names one. This is the only
room of the bridge that knows studies.
"""
