"""Where audio comes from: each data set is one module, which writes a catalogue."""
