test_since_SRCS := agentclient/cli/since.c
