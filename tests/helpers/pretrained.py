"""What tests of pretrained share."""

RATE = 16000
