/* Opening client messages: the good ones whole and uncopied, the bad ones each
 * with its error, without a trace in the replay memory. */
#include "bridge/wire/request.h"

#include <stdio.h>
#include <stdlib.h>

#include "bridge/wire/json.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "tests/bridge/wire/message.h"
#include "tests/fault.h"

static const struct ipmpi_limits limits = IPMPI_LIMITS_DEFAULT;

struct fixture {
    struct ipmpi_key *key;
    struct ipmpi_replay *replay;
    struct ipmpi_frames msg;
};

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){0};
    *state = &f;
    return ipmpi_key_create("secret", 6, &f.key) ||
           ipmpi_replay_create(16, &f.replay);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    ipmpi_frames_clear(&f->msg);
    ipmpi_replay_destroy(&f->replay);
    ipmpi_key_destroy(&f->key);
    return 0;
}

static void make(struct fixture *f, const struct test_message *m)
{
    ipmpi_frames_clear(&f->msg);
    make_message(m, f->key, &f->msg);
}

static int open_it(struct fixture *f, struct ipmpi_request **req_out)
{
    return ipmpi_request_open(&f->msg, f->key, f->replay, &limits, req_out);
}

static void check_frame(const struct ipmpi_frame *frame, const char *text)
{
    CHECK_EQ(frame->len, strlen(text));
    if (frame->len > 0)
        CHECK_MEM(frame->data, text, frame->len);
}

static void a_message_for_an_engine(void **state)
{
    struct fixture *f = *state;
    struct ipmpi_request *req, *second;
    const uint8_t *buffer;

    make(f, &(struct test_message){.ident = "uuid-1",
                                   .metadata = "{\"label\": null}",
                                   .content = "{\"code\": \"1\"}",
                                   .nbuffers = 3});
    buffer = f->msg.at[9].data;
    CHECK_EQ(open_it(f, &req), 0);
    CHECK_EQ(f->msg.n, 0);
    CHECK_EQ(req->routing.len, 5);
    CHECK_MEM(req->routing.data, "\0\1\2\3\4", 5);
    check_frame(&req->ident, "uuid-1");
    CHECK_EQ(req->parts.n, IPMPI_PART_BUFFERS + 3);
    check_frame(&req->parts.at[IPMPI_PART_HEADER], TEST_HEADER);
    check_frame(&req->parts.at[IPMPI_PART_CONTENT], "{\"code\": \"1\"}");
    check_frame(&req->parts.at[IPMPI_PART_BUFFERS], "");
    CHECK(req->parts.at[IPMPI_PART_BUFFERS + 1].data == buffer); /* no copy */
    CHECK_STR(req->msg_id, "a_1");
    CHECK_STR(req->msg_type, "apply_request");
    CHECK_STR(req->session, "a");
    CHECK(req->date_us == TEST_DATE_US);
    CHECK_STR(json_string_value(
                  json_object_get(ipmpi_request_header(req), "version")),
              "5.3");
    CHECK(req->metadata == NULL); /* nothing in it but a default */

    second = ipmpi_request_share(req);
    ipmpi_request_release(&req);
    CHECK(req == NULL);
    CHECK_STR(json_string_value(
                  json_object_get(ipmpi_request_content(second), "code")),
              "1");
    CHECK(ipmpi_request_content(second) == ipmpi_request_content(second));
    ipmpi_request_release(&second);
    ipmpi_request_release(&second); /* NULL is fine */
}

static void a_message_for_the_hub(void **state)
{
    struct fixture *f = *state;
    struct ipmpi_request *req;
    int64_t before = ipmpi_clock_wall_us();

    make(f, &(struct test_message){.header =
                                       "{\"msg_type\":\"t\",\"msg_id\":\"m\"}",
                                   .parent = "{\"msg_id\":\"p\"}",
                                   .content = "{\"a\":\"\xff\"}"});
    CHECK_EQ(open_it(f, &req), 0);
    CHECK_EQ(req->ident.len, 0);
    CHECK_STR(req->session, "");
    CHECK(req->date_us >= before);
    CHECK_EQ(json_object_size(req->metadata), 0);
    CHECK(ipmpi_request_content(req) != NULL);
    ipmpi_request_release(&req);
}

/* The same is read of a header, however it is written. */
static void headers_of_any_shape(void **state)
{
    static const char *const rows[] = {
        "{\"msg_id\":\"m\",\"msg_type\":\"t\",\"session\":\"s\"}",
        "{\"session\":\"s\",\"msg_type\":\"t\",\"msg_id\":\"\\u006d\"}",
        "{\"msg_id\":\"m\",\"msg_type\":\"t\",\"session\":\"s\",\"a\":{}}",
        "{\"msg_id\":\"x\",\"msg_type\":\"t\",\"session\":\"s\","
        "\"msg_id\":\"m\"}",
        "{\"msg_id\":\"m\",\"msg_type\":\"t\",\"session\":\"s\",\"date\":0}",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ipmpi_request *req;

        make(f, &(struct test_message){.header = rows[i]});
        CHECK_EQ(open_it(f, &req), 0);
        CHECK_STR(req->msg_id, "m");
        CHECK_STR(req->msg_type, "t");
        CHECK_STR(req->session, "s");
        CHECK_STR(ipmpi_json_string(ipmpi_request_header(req), "msg_id", ""),
                  "m");
        ipmpi_request_release(&req);
    }
}

/* Metadata that asks for nothing need not be looked at. */
static void metadata_of_any_shape(void **state)
{
    static const struct {
        const char *text;
        bool asks;
    } rows[] = {
        {"{}", false},
        {"{\"label\": null, \"after\": [], \"follow\": [], \"timeout\": 0.0, "
         "\"targets\": [], \"retries\": 0}",
         false},
        {"{\"label\": \"\"}", true},
        {"{\"after\": 0}", true},
        {"{\"targets\": [\"u\"]}", true},
        {"{\"timeout\": 0, \"retries\": 1}", true},
        {"{\"is_broadcast\": false}", true},
        {"{\"ipmpi_mpi\": 0}", true},
        {"{\"label\": null, \"label\": \"a\"}", true},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ipmpi_request *req;

        make(f, &(struct test_message){.header = TEST_HEADER,
                                       .metadata = rows[i].text});
        CHECK_EQ(open_it(f, &req), 0);
        if ((req->metadata != NULL) != rows[i].asks)
            fail_msg("%s: asks for something?", rows[i].text);
        ipmpi_request_release(&req);
    }
}

/* Content is relayed, not read, unless somebody asks. */
static void content_that_is_no_json(void **state)
{
    struct fixture *f = *state;
    struct ipmpi_request *req;

    make(f, &(struct test_message){.content = "[nonsense"});
    CHECK_EQ(open_it(f, &req), 0);
    check_frame(&req->parts.at[IPMPI_PART_CONTENT], "[nonsense");
    CHECK(ipmpi_request_content(req) == NULL);
    CHECK(ipmpi_request_content(req) == NULL);
    ipmpi_request_release(&req);
}

static void what_is_signed_but_wrong(void **state)
{
    static const struct {
        const char *name;
        struct test_message message;
        int err;
    } rows[] = {
        {"header is no JSON", {.header = "{"}, IPMPI_EJSON},
        {"header is a list", {.header = "[]"}, IPMPI_EJSON},
        {"header is empty", {.header = ""}, IPMPI_EJSON},
        {"no msg_id", {.header = "{\"msg_type\":\"t\"}"}, IPMPI_EJSON},
        {"no msg_type", {.header = "{\"msg_id\":\"t\"}"}, IPMPI_EJSON},
        {"the last msg_id is none",
         {.header = "{\"msg_id\":\"a\",\"msg_type\":\"t\","
                    "\"msg_id\":null}"},
         IPMPI_EJSON},
        {"msg_id is a number",
         {.header = "{\"msg_id\":1,\"msg_type\":\"t\"}"},
         IPMPI_EJSON},
        {"msg_id holds a NUL",
         {.header = "{\"msg_id\":\"a\\u0000\",\"msg_type\":\"t\"}"},
         IPMPI_EJSON},
        {"parent is a number", {.parent = "7"}, IPMPI_EJSON},
        {"metadata is a list", {.metadata = "[1]"}, IPMPI_EJSON},
        {"two frames before the delimiter",
         {.ident = IPMPI_DELIM},
         IPMPI_EAUTH},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ipmpi_request *req = NULL;

        for (int again = 0; again < 2; again++) { /* not remembered */
            size_t n;

            make(f, &rows[i].message);
            n = f->msg.n;
            if (open_it(f, &req) != rows[i].err)
                fail_msg("%s: another error", rows[i].name);
            CHECK(req == NULL);
            CHECK_EQ(f->msg.n, n); /* still ours */
        }
    }
}

static void a_message_cut_short(void **state)
{
    struct fixture *f = *state;
    struct ipmpi_request *req;

    for (int with_ident = 0; with_ident < 2; with_ident++) {
        make(f, &(struct test_message){.ident = with_ident ? "u" : NULL});
        while (f->msg.n > 0) {
            f->msg.n--;
            ipmpi_buffer_release(&f->msg.at[f->msg.n].owner);
            CHECK_EQ(open_it(f, &req), IPMPI_EFRAME);
        }
    }
}

static void the_delimiter_too_late(void **state)
{
    struct fixture *f = *state;
    struct ipmpi_frames late = {0};
    struct ipmpi_request *req;

    make(f, &(struct test_message){.ident = "u"});
    add_text(&late, "id");
    CHECK_EQ(ipmpi_frames_add_from(&late, &f->msg, 0, f->msg.n), 0);
    CHECK_EQ(ipmpi_request_open(&late, f->key, f->replay, &limits, &req),
             IPMPI_EFRAME);
    ipmpi_frames_clear(&late);
}

static void a_forged_message(void **state)
{
    static const char *const sigs[] = {
        "", "abc",
        "0493eac852360beee17c92fbb9dede1ecea41c137581a3adb5c4a1beefa2725b",
        "zz93eac852360beee17c92fbb9dede1ecea41c137581a3adb5c4a1beefa2725b"};
    struct fixture *f = *state;
    struct ipmpi_request *req;

    for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
        struct ipmpi_frame *sig;

        /* not even JSON: must not be looked at */
        make(f, &(struct test_message){.header = "{{{"});
        sig = &f->msg.at[2];
        ipmpi_buffer_release(&sig->owner);
        *sig = (struct ipmpi_frame){(const uint8_t *)sigs[i], strlen(sigs[i]),
                                    NULL};
        CHECK_EQ(open_it(f, &req), IPMPI_EAUTH);
    }
}

static void a_replay(void **state)
{
    struct fixture *f = *state;
    struct ipmpi_request *req;
    char header[64];

    make(f, &(struct test_message){0});
    CHECK_EQ(open_it(f, &req), 0);
    ipmpi_request_release(&req);
    make(f, &(struct test_message){0});
    CHECK_EQ(open_it(f, &req), IPMPI_EREPLAY);
    for (int i = 0; i < 16; i++) { /* as many as it remembers */
        snprintf(header, sizeof(header),
                 "{\"msg_id\":\"%d\",\"msg_type\":\"t\"}", i);
        make(f, &(struct test_message){.header = header});
        CHECK_EQ(open_it(f, &req), 0);
        ipmpi_request_release(&req);
    }
    make(f, &(struct test_message){0});
    CHECK_EQ(open_it(f, &req), 0); /* forgotten: the memory is bounded */
    ipmpi_request_release(&req);
}

static void without_a_key_all_pass(void **state)
{
    struct fixture *f = *state;
    struct ipmpi_request *req;
    struct ipmpi_key *none;

    CHECK_EQ(ipmpi_key_create("", 0, &none), 0);
    for (int again = 0; again < 2; again++) {
        ipmpi_frames_clear(&f->msg);
        make_message(&(struct test_message){0}, none, &f->msg);
        CHECK_EQ(ipmpi_request_open(&f->msg, none, f->replay, &limits, &req),
                 0);
        ipmpi_request_release(&req);
    }
    ipmpi_key_destroy(&none);
}

static void limits_hold(void **state)
{
    static const struct {
        const char *name;
        struct ipmpi_limits limits;
        int err;
    } rows[] = {
        {"just fits", {11, 6, sizeof(TEST_HEADER) - 1, 8}, 0},
        {"frames", {10, 6, sizeof(TEST_HEADER) - 1, 8}, IPMPI_ETOOBIG},
        {"uuid", {11, 5, sizeof(TEST_HEADER) - 1, 8}, IPMPI_ETOOBIG},
        {"header", {11, 6, sizeof(TEST_HEADER) - 2, 8}, IPMPI_ETOOBIG},
        {"content", {11, 6, sizeof(TEST_HEADER) - 1, 7}, IPMPI_ETOOBIG},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ipmpi_request *req = NULL;

        make(f, &(struct test_message){
                    .ident = "uuid-1", .content = "{\"a\": 1}", .nbuffers = 3});
        if (ipmpi_request_open(&f->msg, f->key, NULL, &rows[i].limits, &req) !=
            rows[i].err)
            fail_msg("%s: another error", rows[i].name);
        ipmpi_request_release(&req);
    }
}

static void memory_runs_out(void **state)
{
    struct fixture *f = *state;
    unsigned nth = 1;
    bool fired;

    do {
        struct ipmpi_request *req = NULL;
        size_t n;
        int err;

        make(f,
             &(struct test_message){.ident = "u",
                                    .header = "{\"msg_id\":\"\\u006d\","
                                              "\"msg_type\":\"t\"}",
                                    .metadata = "{\"targets\": [[\"u\", 0]]}",
                                    .content = "{\"code\": \"1\", \"big\": "
                                               "18446744073709551616}"});
        n = f->msg.n;
        fault_arm(nth++);
        err = ipmpi_request_open(&f->msg, f->key, NULL, &limits, &req);
        if (err == 0)
            ipmpi_request_content(req);
        fired = fault_disarm();
        CHECK_EQ(req == NULL, err != 0);
        CHECK_EQ(f->msg.n, err == 0 ? 0 : n);
        CHECK(fired || err == 0);
        ipmpi_request_release(&req);
    } while (fired);
    CHECK(nth > 30);
}

#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static void *jansson_malloc(size_t len)
{
    return malloc(len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FIXTURE(a_message_for_an_engine),
        IN_FIXTURE(a_message_for_the_hub),
        IN_FIXTURE(headers_of_any_shape),
        IN_FIXTURE(metadata_of_any_shape),
        IN_FIXTURE(content_that_is_no_json),
        IN_FIXTURE(what_is_signed_but_wrong),
        IN_FIXTURE(a_message_cut_short),
        IN_FIXTURE(the_delimiter_too_late),
        IN_FIXTURE(a_forged_message),
        IN_FIXTURE(a_replay),
        IN_FIXTURE(without_a_key_all_pass),
        IN_FIXTURE(limits_hold),
        IN_FIXTURE(memory_runs_out),
    };
    json_set_alloc_funcs(jansson_malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
