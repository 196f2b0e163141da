"""What a deployment is and how it ends: names, specs, steps, plans, the journal and the saga.

Pure: nothing here opens a file, a socket or a process. The world is reached through `ports`.
"""
