test_ledger_store_SRCS := $(addprefix agentclient/observe/,ledger.c ledger_time.c ledger_file.c ledger_store.c)
test_ledger_store_LIBS := -lcrypto -lpthread
