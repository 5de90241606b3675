test_metrics_SRCS := agentclient/observe/metrics.c agentclient/observe/tally.c agentclient/policy/text.c
