/* Settings for a safe way to Kafka: what is refused, with which advice, and what comes out of the rest. */
#include "connectors/kafka/security.h"
#include "engine/base/slice.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 128 };

static char folder[] = "/tmp/muster-security-XXXXXX";

static void make_folder(void)
{
    cr_assert(mkdtemp(folder) != NULL);
}

static void write_file(const char *name, const char *text, mode_t mode, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    cr_assert(fchmod(fd, mode) == 0);
    close(fd);
}

static struct kafka_security_settings plaintext(void)
{
    return (struct kafka_security_settings){"plaintext", "", "", "", "", "PLAIN", "", ""};
}

static void expect_refusal(const struct kafka_security_settings *settings, const char *advice)
{
    struct error err = {0};
    struct kafka_security *security = kafka_security_open(settings, &err);
    cr_expect(security == NULL, "taken, though it should ask for: %s", advice);
    kafka_security_close(security);
    cr_expect(err.class == ERROR_FATAL && strstr(err.text, advice) != NULL, "`%s` does not say `%s`", err.text, advice);
}

static bool has(const struct kafka_security *security, const char *property)
{
    for (const char *const *p = kafka_security_properties(security); *p; p++)
        if (strcmp(*p, property) == 0)
            return true;
    return false;
}

Test(security, plaintext_needs_nothing)
{
    struct error err = {0};
    struct kafka_security_settings settings = plaintext();
    struct kafka_security *security = kafka_security_open(&settings, &err);
    cr_assert(security != NULL);
    cr_expect(kafka_security_properties(security)[0] == NULL);
    kafka_security_close(security);
}

Test(security, settings_that_do_not_fit_together, .init = make_folder)
{
    char ca[PATH_ROOM], key[PATH_ROOM], password[PATH_ROOM];
    write_file("ca.pem", "x", 0644, ca);
    write_file("key.pem", "x", 0600, key);
    write_file("password", "secret\n", 0600, password);
    struct kafka_security_settings settings = plaintext();
    settings.ca_file = ca;
    expect_refusal(&settings, "kafka_security is plaintext");
    settings.protocol = "sasl_plaintext";
    expect_refusal(&settings, "in the clear");
    settings.protocol = "tls";
    expect_refusal(&settings, "plaintext, ssl or sasl_ssl");
    settings.protocol = "ssl";
    settings.ca_file = "";
    expect_refusal(&settings, "kafka_ca_file must name");
    settings.ca_file = ca;
    settings.key_file = key;
    expect_refusal(&settings, "go together");
    settings.cert_file = "/nowhere/cert.pem";
    expect_refusal(&settings, "kafka_cert_file /nowhere/cert.pem: No such file");
    settings.key_file = settings.cert_file = "";
    settings.key_password_file = password;
    expect_refusal(&settings, "without kafka_key_file");
    settings.key_password_file = "";
    settings.sasl_user = "engine";
    expect_refusal(&settings, "but kafka_security is ssl");
    settings.protocol = "sasl_ssl";
    expect_refusal(&settings, "kafka_sasl_password_file must be given");
    settings.sasl_password_file = password;
    settings.sasl_mechanism = "GSSAPI";
    expect_refusal(&settings, "takes PLAIN");
}

/* Debian 12 has librdkafka 2.0.2; where there is a later one, SCRAM is taken. */
Test(security, scram_where_it_is_broken, .init = make_folder)
{
    char ca[PATH_ROOM], password[PATH_ROOM];
    write_file("ca.pem", "x", 0644, ca);
    write_file("password", "secret\n", 0600, password);
    struct kafka_security_settings settings = {"sasl_ssl", ca, "", "", "", "SCRAM-SHA-512", "engine", password};
    struct error err = {0};
    struct kafka_security *security = kafka_security_open(&settings, &err);
    if (security)
        cr_expect(has(security, "sasl.mechanisms=SCRAM-SHA-512"));
    else
        cr_expect(strstr(err.text, "needs librdkafka 2.6.1 or later") && strstr(err.text, "use a client certificate, or PLAIN"));
    kafka_security_close(security);
}

Test(security, secrets_are_closed_to_others, .init = make_folder)
{
    char ca[PATH_ROOM], cert[PATH_ROOM], key[PATH_ROOM], password[PATH_ROOM];
    write_file("ca.pem", "x", 0644, ca);
    write_file("cert.pem", "x", 0644, cert);
    write_file("key.pem", "x", 0640, key);
    struct kafka_security_settings settings = {"ssl", ca, cert, key, "", "PLAIN", "", ""};
    expect_refusal(&settings, "run chmod 600");
    cr_assert(chmod(key, 0600) == 0);
    write_file("password", "secret", 0604, password);
    settings.key_password_file = password;
    expect_refusal(&settings, "run chmod 600");
    cr_assert(chmod(password, 0400) == 0);
    struct error err = {0};
    struct kafka_security *security = kafka_security_open(&settings, &err);
    cr_assert(security != NULL, "%s", err.text);
    cr_expect(has(security, "security.protocol=ssl") && has(security, "ssl.key.password=secret") &&
              has(security, "ssl.endpoint.identification.algorithm=https"));
    kafka_security_close(security);
}

Test(security, passwords_are_one_line, .init = make_folder)
{
    static const char *const bad[] = {"", "\n", "two\nlines\n"};
    char ca[PATH_ROOM], password[PATH_ROOM];
    write_file("ca.pem", "x", 0644, ca);
    struct kafka_security_settings settings = {"sasl_ssl", ca, "", "", "", "PLAIN", "engine", password};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file("password", bad[i], 0600, password);
        expect_refusal(&settings, "must hold one line");
    }
    write_file("password", "a=b c\r\n", 0600, password);
    struct error err = {0};
    struct kafka_security *security = kafka_security_open(&settings, &err);
    cr_assert(security != NULL, "%s", err.text);
    cr_expect(has(security, "sasl.password=a=b c") && has(security, "sasl.username=engine") && has(security, "sasl.mechanisms=PLAIN"));
    kafka_security_close(security);
    settings.sasl_password_file = folder;
    expect_refusal(&settings, "is not a file");
}
