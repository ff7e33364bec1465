"""Text in, waveform out: the front end and the model that the trainer and the server must share to the bit."""
