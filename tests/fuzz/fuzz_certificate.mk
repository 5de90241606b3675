fuzz_certificate_SRCS := $(wildcard agentclient/identity/*.c) tests/unit/support_pki.c
fuzz_certificate_LIBS := -lssl -lcrypto
