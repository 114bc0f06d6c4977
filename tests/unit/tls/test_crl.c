/* SPDX-License-Identifier: MIT */

/* Revocation lists: made, read, told, refused. */
#include "authorities.h"
#include "starving.h"

#include "base/alloc.h"

#include <thrum/crl.h>
#include <thrum/time.h>

static th_crl *new_crl(const authority *a, const th_crl_entry *entries, size_t count)
{
    th_crl_opts opts = { .entries = entries, .entries_count = count };
    th_crl *crl = NULL;
    ck_ok(th_crl_new(a->cert, a->key, &opts, &crl));
    return crl;
}

static th_crl_info crl_info(const th_crl *crl)
{
    th_crl_info info;
    ck_ok(th_crl_get_info(crl, &arena, &info));
    return info;
}

START_TEST(an_empty_list_has_its_issuer_and_its_times)
{
    authority root = new_authority("CN=Root");
    th_crl *crl = NULL;
    int64_t before = th_wall() / TH_SECOND;
    ck_ok(th_crl_new(root.cert, root.key, NULL, &crl));
    th_crl_info info = crl_info(crl);
    ck_assert_str_eq(info.issuer_text.ptr, "CN=Root");
    ck_assert_int_ge(info.last_update, before);
    ck_assert_int_eq(info.next_update, info.last_update + 30 * 86400);
    ck_assert_uint_eq(info.number.len, 0);
    ck_assert_uint_eq(info.entries_count, 0);
    ck_assert_str_eq(info.signature, "ecdsa-with-SHA256");
    ck_ok(th_crl_verify(crl, root.key));
    th_crl_unref(crl);
    drop_authority(&root);
}
END_TEST

START_TEST(entries_come_back_in_order)
{
    static const th_crl_entry entries[] = {
        { "ff", 1000, "keyCompromise" },    { "01", 2000, NULL },
        { "0a:0B", 3000, "ca COMPROMISE" }, { "0100000000000000000000000000000001", 0, NULL },
        { "02", 4000, "Remove From CRL" },  { "0", 5000, "unspecified" },
    };
    static const char *const serials[] = { "FF", "01", "0A0B", "0100000000000000000000000000000001",
                                           "02", "00" };
    static const char *const reasons[] = { "keyCompromise", NULL,         "CACompromise", NULL,
                                           "removeFromCRL", "unspecified" };
    authority root = new_authority("CN=Root");
    int64_t before = th_wall() / TH_SECOND;
    th_crl *crl = new_crl(&root, entries, 6), *again = NULL;
    th_str der;
    ck_ok(th_crl_der(crl, &arena, &der));
    ck_ok(th_crl_parse(der, &again));
    th_crl_info info = crl_info(again);
    ck_assert_uint_eq(info.entries_count, 6);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_str_eq(info.entries[i].serial, serials[i]);
        ck_assert_pstr_eq(info.entries[i].reason, reasons[i]);
        if (entries[i].when != 0)
            ck_assert_int_eq(info.entries[i].when, entries[i].when);
        else
            ck_assert_int_ge(info.entries[i].when, before);
    }
    th_crl_unref(again);
    th_crl_unref(crl);
    drop_authority(&root);
}
END_TEST

START_TEST(number_and_times_are_kept)
{
    authority root = new_authority("CN=Root");
    th_crl_opts opts = { .number = "1:00", .last_update = 1000, .next_update = 2000 };
    th_crl *crl = NULL;
    ck_ok(th_crl_new(root.cert, root.key, &opts, &crl));
    th_crl_info info = crl_info(crl);
    ck_assert_str_eq(info.number.ptr, "0100");
    ck_assert_int_eq(info.last_update, 1000);
    ck_assert_int_eq(info.next_update, 2000);
    th_crl_unref(crl);
    drop_authority(&root);
}
END_TEST

START_TEST(reasons_are_named_and_found)
{
    size_t count = 0;
    authority root = new_authority("CN=Root");
    for (const char *name; (name = th_crl_reason(count)) != NULL; count++) {
        th_crl_entry entry = { "1", 1, name };
        th_crl *crl = new_crl(&root, &entry, 1);
        ck_assert_str_eq(crl_info(crl).entries[0].reason, name);
        th_crl_unref(crl);
    }
    ck_assert_uint_eq(count, 10);
    ck_assert_ptr_null(th_crl_reason(SIZE_MAX));
    drop_authority(&root);
}
END_TEST

START_TEST(bad_lists_are_refused)
{
    authority root = new_authority("CN=Root"), other = new_authority("CN=Other");
    th_key *public_key;
    static const th_crl_entry bad[] = {
        { "xyz", 1, NULL }, { "", 1, NULL }, { NULL, 1, NULL },        { "-1", 1, NULL },
        { "1", 1, "mood" }, { "1", 1, "" },  { "1", INT64_MAX, NULL },
    };
    th_crl *crl = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        th_crl_opts opts = { .entries = &bad[i], .entries_count = 1 };
        int err = th_crl_new(root.cert, root.key, &opts, &crl);
        ck_assert_msg(err == -EINVAL, "%zu: %s", i, th_errname(err));
    }
    th_crl_opts opts = { .digest = "strange" };
    ck_assert_int_eq(th_crl_new(root.cert, root.key, &opts, &crl), -EINVAL);
    ck_detail("unknown digest strange");
    opts = (th_crl_opts){ .last_update = 1000, .next_update = 999 };
    ck_assert_int_eq(th_crl_new(root.cert, root.key, &opts, &crl), -EINVAL);
    ck_assert_int_eq(th_crl_new(root.cert, other.key, NULL, &crl), -EINVAL);
    ck_detail("not the one of its certificate");
    ck_ok(th_key_public(root.key, &public_key));
    ck_assert_int_eq(th_crl_new(root.cert, public_key, NULL, &crl), -EINVAL);
    ck_assert_int_eq(th_crl_new(root.cert, NULL, NULL, &crl), -EINVAL);
    ck_assert_ptr_null(crl);
    th_key_unref(public_key);
    drop_authority(&root);
    drop_authority(&other);
}
END_TEST

START_TEST(a_list_belongs_to_the_key_that_signed_it)
{
    authority root = new_authority("CN=Root"), other = new_authority("CN=Root");
    th_crl *crl = new_crl(&root, NULL, 0);
    ck_ok(th_crl_verify(crl, root.key));
    ck_assert_int_eq(th_crl_verify(crl, other.key), TH_ETLS);
    ck_detail("not signed by this key");
    th_crl_unref(crl);
    drop_authority(&root);
    drop_authority(&other);
}
END_TEST

START_TEST(a_list_revokes_by_issuer_and_number)
{
    static const th_crl_entry entries[] = { { "05", 1, NULL }, { "06", 1, "removeFromCRL" } };
    static const struct {
        const char *serial;
        int revoked;
    } certs[] = { { "05", 1 }, { "06", 0 }, { "07", 0 } };
    authority root = new_authority("CN=Root"), other = new_authority("CN=Other");
    th_crl *crl = new_crl(&root, entries, 2);
    for (size_t i = 0; i < 3; i++) {
        th_cert_opts opts = { .subject = name_of("CN=leaf"), .serial = certs[i].serial };
        th_cert *cert = NULL;
        ck_ok(th_cert_issue(root.cert, root.key, root.key, &opts, &cert));
        ck_assert_int_eq(th_crl_revokes(crl, cert), certs[i].revoked);
        th_cert_unref(cert);
        ck_ok(th_cert_issue(other.cert, other.key, root.key, &opts, &cert));
        ck_assert_int_eq(th_crl_revokes(crl, cert), 0);
        th_cert_unref(cert);
    }
    ck_assert_int_eq(th_crl_revokes(crl, NULL), -EINVAL);
    th_crl_unref(crl);
    drop_authority(&root);
    drop_authority(&other);
}
END_TEST

START_TEST(lists_go_out_and_come_in)
{
    authority root = new_authority("CN=Root");
    th_crl_entry entry = { "01", 1, "superseded" };
    th_crl *crl = new_crl(&root, &entry, 1), *again = NULL;
    th_str pem, der, again_der, text, cert;
    ck_ok(th_crl_pem(crl, &arena, &pem));
    ck_assert(has_text(pem, "-----BEGIN X509 CRL-----\n"));
    ck_ok(th_crl_der(crl, &arena, &der));
    ck_ok(th_crl_load(write_file("list", pem), &again));
    ck_ok(th_crl_der(again, &arena, &again_der));
    ck_same(der, again_der);
    ck_ok(th_crl_text(th_crl_ref(again), &arena, &text));
    th_crl_unref(again);
    ck_assert(
        has_text(text, "Revoked:           1\n    01  1970-01-01 00:00:01 UTC  superseded\n"));
    th_crl_unref(again);
    again = NULL;
    ck_ok(th_cert_pem(root.cert, &arena, &cert));
    ck_assert_int_eq(th_crl_parse(cert, &again), TH_ETLS);
    ck_detail("there is no revocation list in it, but: CERTIFICATE");
    ck_assert_int_eq(th_crl_parse(joined(der, TH_STR("x")), &again), TH_ETLS);
    ck_assert_int_eq(th_crl_load(path_of("none"), &again), -ENOENT);
    ck_assert_ptr_null(again);
    if (has_openssl()) {
        write_file("root", cert);
        run_well("openssl crl -in list -CAfile root -noout 2>&1 | grep -q 'verify OK'");
    }
    th_crl_unref(crl);
    drop_authority(&root);
}
END_TEST

static int make_and_tell(void *arg)
{
    const authority *root = arg;
    th_crl_entry entry = { "01", 1, "superseded" };
    th_crl_opts opts = { .entries = &entry, .entries_count = 1, .number = "1" };
    th_arena own;
    th_crl *crl = NULL;
    th_str out;
    th_arena_init(&own, NULL, 0, 0);
    int err = th_crl_new(root->cert, root->key, &opts, &crl);
    if (err == 0)
        err = th_crl_text(crl, &own, &out);
    th_crl_unref(crl);
    th_arena_deinit(&own);
    return err;
}

START_TEST(no_call_leaks_or_lies_without_memory)
{
    authority root = new_authority("CN=Root");
    ck_assert_int_gt(starve(thi_alloc_fail_at, make_and_tell, &root), 1);
    drop_authority(&root);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "lists");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, an_empty_list_has_its_issuer_and_its_times);
    tcase_add_test(tcase, entries_come_back_in_order);
    tcase_add_test(tcase, number_and_times_are_kept);
    tcase_add_test(tcase, reasons_are_named_and_found);
    tcase_add_test(tcase, bad_lists_are_refused);
    tcase_add_test(tcase, a_list_belongs_to_the_key_that_signed_it);
    tcase_add_test(tcase, a_list_revokes_by_issuer_and_number);
    tcase_add_test(tcase, lists_go_out_and_come_in);
    tcase_add_test(tcase, no_call_leaks_or_lies_without_memory);
}

int main(void)
{
    return thi_check_run("tls/crl", fill);
}
