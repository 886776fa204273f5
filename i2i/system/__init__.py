"""What does the computer give: a device, a file written whole, a lock, a signal, its facts?"""
