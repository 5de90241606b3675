test_ledger_SRCS := $(addprefix agentclient/observe/,ledger.c ledger_time.c)
