fuzz_record_SRCS :=
fuzz_record_LIBS := -lcrypto -lpthread
