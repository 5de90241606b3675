test_rewrite_SRCS := agentclient/cli/rewrite.c
