"""What the machine offers: memory, devices, files, time, a line of progress; nothing of samples."""
