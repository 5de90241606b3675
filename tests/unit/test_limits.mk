test_limits_SRCS := agentclient/daemon/limits.c
