"""What the machine offers: memory, devices, files, time, a line of progress; and how numbers are
written for people. Nothing of samples.
"""
