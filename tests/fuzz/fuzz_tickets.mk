fuzz_tickets_SRCS := $(filter-out agentclient/identity/ticket.c,$(wildcard agentclient/handshake/*.c \
                     agentclient/identity/*.c agentclient/policy/*.c)) shim/record/record.c tests/unit/support_pki.c
fuzz_tickets_LIBS := -lssl -lcrypto -levent_core -lyaml -ljansson -lpthread
