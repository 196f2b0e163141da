"""The host worker: enrols, claims runs, carries them out under a journal, recovers and reports."""
