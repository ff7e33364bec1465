"""What is heard before anybody asks for words: speech, breaths, music, and whose voice it is."""
