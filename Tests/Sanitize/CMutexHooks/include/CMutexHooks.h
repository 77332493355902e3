// Nothing to call: being linked is enough. See MutexHooks.c.
