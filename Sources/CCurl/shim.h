// libcurl as Swift can call it.
//
// Swift does not import variadic C functions, and three of libcurl's are: each gets a typed wrapper per kind of argument.
// All are `static inline`, so this stays a system-library target with nothing to compile or link beside libcurl.

#ifndef WALSHIP_CCURL_SHIM_H
#define WALSHIP_CCURL_SHIM_H

#include <curl/curl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

// curl.h defines macros of these names that check argument types with GCC extensions (or, without them, spell the variadic
// call); inside a wrapper whose argument is already typed they only get in the way.
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

// These are macros with casts in them, which Swift does not import.
static const long walship_curl_auth_basic = (long)CURLAUTH_BASIC;
static const long walship_curl_auth_bearer = (long)CURLAUTH_BEARER;
static const long walship_curl_global_default = CURL_GLOBAL_DEFAULT;

// CURL_HTTP_VERSION_* are an anonymous enum, which Swift imports as Int or as a type of its own depending on the header's version.
static const long walship_curl_http_1_1 = CURL_HTTP_VERSION_1_1;
static const long walship_curl_http_2_tls = CURL_HTTP_VERSION_2TLS;

// CURLOPTTYPE_LONG options: numbers and switches.
static inline CURLcode walship_curl_set_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}

// CURLOPTTYPE_OFF_T options: sizes, which need 64 bits on every platform.
static inline CURLcode walship_curl_set_size(CURL *easy, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(easy, option, value);
}

// CURLOPTTYPE_STRINGPOINT options: libcurl copies the text, so it need not outlive the call.
static inline CURLcode walship_curl_set_text(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}

// CURLOPTTYPE_OBJECTPOINT and CBPOINT options: memory that libcurl keeps a pointer to (the error buffer, callback contexts).
static inline CURLcode walship_curl_set_pointer(CURL *easy, CURLoption option, void *value) {
    return curl_easy_setopt(easy, option, value);
}

// CURLOPTTYPE_SLISTPOINT options: the list must outlive the transfer.
static inline CURLcode walship_curl_set_list(CURL *easy, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(easy, option, value);
}

// CURLOPT_WRITEFUNCTION and CURLOPT_HEADERFUNCTION: one C type for both. Returning less than size * count ends the transfer.
typedef size_t (*walship_curl_sink)(char *bytes, size_t size, size_t count, void *context);
static inline CURLcode walship_curl_set_sink(CURL *easy, CURLoption option, walship_curl_sink sink) {
    return curl_easy_setopt(easy, option, sink);
}

// CURLOPT_READFUNCTION: fills `bytes` with at most size * count bytes of the request's body.
typedef size_t (*walship_curl_source)(char *bytes, size_t size, size_t count, void *context);
static inline CURLcode walship_curl_set_source(CURL *easy, walship_curl_source source) {
    return curl_easy_setopt(easy, CURLOPT_READFUNCTION, source);
}

// CURLOPT_SEEKFUNCTION: puts the body back to `offset` before libcurl sends it again.
typedef int (*walship_curl_seek)(void *context, curl_off_t offset, int origin);
static inline CURLcode walship_curl_set_seek(CURL *easy, walship_curl_seek seek) {
    return curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, seek);
}

// CURLOPT_PREREQFUNCTION: called when a connection is up, right before the request goes out on it; each time it does.
typedef int (*walship_curl_before_request)(void *context, char *, char *, int, int);
static inline CURLcode walship_curl_set_before_request(CURL *easy, walship_curl_before_request callback) {
    return curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, callback);
}

// CURLOPT_OPENSOCKETFUNCTION: libcurl 7.88 makes sockets that programs started later inherit, and a connection that we have
// closed stays open as long as they run. The callback takes a struct by pointer and the flag belongs into the one call, so
// it is written here.
static inline curl_socket_t walship_curl_open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)context;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}
static inline CURLcode walship_curl_set_close_on_exec(CURL *easy) {
    return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, walship_curl_open_socket);
}

// CURLINFO_LONG: a number that libcurl knows of a transfer; 0 where it does not.
static inline long walship_curl_get_long(CURL *easy, CURLINFO info) {
    long value = 0;
    return curl_easy_getinfo(easy, info, &value) == CURLE_OK ? value : 0;
}

// CURLMOPT options that are numbers.
static inline CURLMcode walship_curl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}

// CURLMsg holds a union, which Swift imports as memory to reinterpret: it is read here. Returns 1 and fills both
// out-parameters for the next transfer that has ended, 0 when there is none.
static inline int walship_curl_multi_next_ended(CURLM *multi, CURL **easy, CURLcode *result) {
    int left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            *easy = message->easy_handle;
            *result = message->data.result;
            return 1;
        }
    }
    return 0;
}

// prctl(2) is variadic too, and pthread_setname_np(3) is hidden from Swift behind _GNU_SOURCE: the name that the thread which
// owns libcurl's handles has in ps, top and debuggers. At most 15 bytes.
static inline int walship_name_this_thread(const char *name) {
    return prctl(PR_SET_NAME, name, 0, 0, 0);
}

#endif
