test_record_SRCS := shim/record/record.c tests/unit/support_tls.c
test_record_LIBS := -lssl -lcrypto
