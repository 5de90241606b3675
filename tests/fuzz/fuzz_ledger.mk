fuzz_ledger_SRCS := $(addprefix agentclient/observe/,ledger.c ledger_time.c ledger_file.c)
fuzz_ledger_LIBS := -lcrypto
