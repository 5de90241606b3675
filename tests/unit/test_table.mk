test_table_SRCS := agentclient/cli/table.c
