"""Fields for genre, moods and our own note in the tags of audio files, one module per format.

A change is a list of edits of single bytes of the file, so all other fields, pictures and the audio keep their bytes.
"""
