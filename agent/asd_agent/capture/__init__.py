"""Sources of sound: one child process a microphone or recording, judged by the samples that arrive."""
