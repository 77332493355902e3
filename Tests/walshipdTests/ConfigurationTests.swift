import Archive
import Foundation
import Logging
import Shipper
import Testing

@testable import walshipd

@Suite struct ConfigurationTests {
    private let targets = """
        logs: [{path: /var/lib/orders}]
        destinations: [{url: "http://h/archive"}]

        """

    private func load(
        _ yaml: String? = nil, environment: [String: String] = [:], flags: [SettingKey: String] = [:]
    ) throws -> RunSettings {
        let file = try yaml.map { try ConfigurationFile.parse($0, path: "w.yaml") }
        return try RunSettings.load(file: file, environment: environment, flags: flags).settings
    }

    private func refusal(
        _ yaml: String? = nil, environment: [String: String] = [:], flags: [SettingKey: String] = [:]
    ) -> String? {
        do {
            _ = try load(yaml, environment: environment, flags: flags)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test func oneLogAndOneArchiveNeedNoFile() throws {
        let expected = RunSettings(
            logs: [LogSettings(path: "/data/wal", name: LogName("orders")!)],
            destinations: [DestinationSettings(name: nil, base: try StoreURL("http://h:9180/archive"))])
        #expect(try load(flags: [.log: "/data/wal", .archive: "http://h:9180/archive/orders"]) == expected)
        #expect(
            try load(environment: ["WALSHIPD_LOG": "/data/wal", "WALSHIPD_ARCHIVE": "http://h:9180/archive/orders"]) == expected
        )
        #expect(expected.destinations[0].archive(of: expected.logs[0]).description == "http://h:9180/archive/orders")
    }

    @Test func everyLogGoesToEveryDestination() throws {
        let settings = try load(
            """
            logs:
              - path: /a/orders/
              - {path: /a/x, name: Events-2}
            destinations:
              - url: https://h/base/
              - {name: second, url: "file:///mnt/archive"}
            """)
        #expect(
            settings.logs == [LogSettings(path: "/a/orders/", name: LogName("orders")!), LogSettings(path: "/a/x", name: LogName("Events-2")!)])
        #expect(settings.destinations.map(\.name) == [nil, "second"])
        #expect(settings.destinations[0].archive(of: settings.logs[1]).description == "https://h/base/Events-2")
        #expect(settings.destinations[1].archive(of: settings.logs[0]).description == "file:///mnt/archive/orders")
    }

    @Test func flagAndEnvironmentReplaceTheFilesLists() throws {
        let file = "logs: [{path: /f/a}, {path: /f/b}]\ndestinations: [{url: \"http://f\", name: n}]"
        let log = try load(file, environment: ["WALSHIPD_LOG": "/e/x"], flags: [:])
        #expect(log.logs == [LogSettings(path: "/e/x", name: LogName("x")!)])
        #expect(log.destinations.map(\.name) == ["n"])
        let flag = try load(file, environment: ["WALSHIPD_LOG": "/e/x"], flags: [.log: "/g/y"])
        #expect(flag.logs.map(\.name.text) == ["y"])
        #expect(
            refusal(file, flags: [.archive: "http://h/a/b"])
                == "--archive: archive: 'http://h/a/b': is the archive of one log, but the file lists 2; list destinations in the file instead"
        )
        #expect(
            try load("logs: [{path: /f/a}]", flags: [.archive: "http://h/base/other"]).logs == [
                LogSettings(path: "/f/a", name: LogName("other")!)
            ])
        #expect(
            refusal("logs: [{path: /f/a, name: a}]", flags: [.archive: "http://h/base/other"])?.contains("make them the same")
                == true)
    }

    /// Every scalar setting, with a value that is not its default, as text and as seen in the settings.
    static let samples: [(SettingKey, String, @Sendable (DestinationSettings) -> Bool)] = [
        (.shipTailInterval, "250ms", { $0.ship.tailInterval == .milliseconds(250) }),
        (.shipUploadsInFlight, "7", { $0.ship.uploadsInFlight == 7 }),
        (.shipMemoryLimit, "64MiB", { $0.ship.memoryLimit == ByteSize(64 << 20) }),
        (.shipCompressionLevel, "9", { $0.ship.compressionLevel == 9 }),
        (.shipRetain, "64MiB", { $0.ship.retain == ByteSize(64 << 20) }),
        (.shipArchiveRetain, "30d", { $0.ship.archiveRetain == .seconds(30 * 86_400) }),
        (.shipSettle, "5m", { $0.ship.settle == .seconds(300) }),
        (.shipMaxLocalBytes, "1GiB", { $0.ship.maxLocalBytes == ByteSize(1 << 30) }),
        (.shipClaimSettle, "30s", { $0.ship.claimSettle == .seconds(30) }),
        (.shipBandwidthLimit, "2MiB", { $0.ship.bandwidthLimit == ByteSize(2 << 20) }),
        (.shipImmutable, "true", { $0.ship.immutable }),
        (.shipFencing, "required", { $0.ship.fencing == .required }),
        (.retryDelayMax, "1m", { $0.retry.delayMax == .seconds(60) }),
        (.httpConnectTimeout, "3s", { $0.http.connectTimeout == .seconds(3) }),
        (.httpStallTimeout, "7s", { $0.http.stallTimeout == .seconds(7) }),
        (.httpStallBytesPerSecond, "64KiB", { $0.http.stallBytesPerSecond == ByteSize(64 << 10) }),
        (.httpProxy, "http://proxy:3128", { $0.http.proxy == "http://proxy:3128" }),
        (.httpHTTP2, "true", { $0.http.http2 }),
        (.s3Endpoint, "http://h:1", { $0.s3.endpoint == "http://h:1" }),
        (.s3Region, "x-1", { $0.s3.region == "x-1" }),
    ]
    static let samplesOfAll: [(SettingKey, String, @Sendable (RunSettings) -> Bool)] = {
        var all: [(SettingKey, String, @Sendable (RunSettings) -> Bool)] = []
        for (key, text, holds) in samples { all.append((key, text, { holds($0.destinations[0]) })) }
        all.append((.logLevel, "debug", { $0.logLevel == .debug }))
        all.append((.shutdownDeadline, "3s", { $0.shutdownDeadline == .seconds(3) }))
        return all
    }()

    private func yaml(_ key: SettingKey, _ value: String) -> String {
        let parts = key.components
        return targets + (parts.count == 1 ? "\(parts[0]): \"\(value)\"" : "\(parts[0]):\n  \(parts[1]): \"\(value)\"")
    }

    @Test func everySettingIsReadFromEveryPlace() throws {
        for (key, value, holds) in Self.samplesOfAll {
            #expect(try holds(load(yaml(key, value))), "\(key) in the file")
            #expect(try holds(load(targets, environment: [key.environmentName: value])), "\(key) in the environment")
            #expect(try holds(load(targets, flags: [key: value])), "\(key) as a flag")
            #expect(try !holds(load(targets)), "\(key): the sample is no default")
        }
    }

    @Test(arguments: BacklogPolicy.allCases) func aBacklogPolicyNeedsALimit(policy: BacklogPolicy) throws {
        let given = targets + "ship: {backlog-policy: \(policy.rawValue), max-local-bytes: 1MiB}"
        let ship = try load(given).destinations[0].ship
        #expect(ship.backlogPolicy == policy && ship.maxLocalBytes == ByteSize(1 << 20))
        let alone = targets + "ship: {backlog-policy: \(policy.rawValue)}"
        if policy == .keep {
            #expect(try load(alone).destinations[0].ship.maxLocalBytes == nil)
        } else {
            #expect(refusal(alone)?.contains("set ship.max-local-bytes") == true)
            #expect(refusal(alone, flags: [.shipMaxLocalBytes: "off"])?.contains("ship.backlog-policy") == true)
        }
        #expect(refusal(targets + "ship: {max-local-bytes: 4KiB}")?.contains("at least 8KiB") == true)
    }

    @Test func theNearerPlaceWins() throws {
        let key = SettingKey.shipUploadsInFlight
        for mask in 0..<8 {
            let file = mask & 1 != 0 ? yaml(key, "11") : targets
            let environment = mask & 2 != 0 ? [key.environmentName: "12"] : [:]
            let flags = mask & 4 != 0 ? [key: "13"] : [:]
            let expected = mask & 4 != 0 ? 13 : mask & 2 != 0 ? 12 : mask & 1 != 0 ? 11 : 2
            #expect(try load(file, environment: environment, flags: flags).destinations[0].ship.uploadsInFlight == expected, "mask \(mask)")
        }
        #expect(
            try load(yaml(key, "11"), environment: [key.environmentName: ""]).destinations[0].ship.uploadsInFlight == 11,
            "an empty variable is none")
    }

    @Test func environmentNamesAreTheKeysInCapitals() {
        #expect(SettingKey.shipTailInterval.environmentName == "WALSHIPD_SHIP_TAIL_INTERVAL")
        #expect(SettingKey.httpCAFile.environmentName == "WALSHIPD_HTTP_CA_FILE")
        #expect(SettingKey.log.environmentName == "WALSHIPD_LOG")
        #expect(Set(SettingKey.allCases.map(\.environmentName)).count == SettingKey.allCases.count)
    }

    @Test func offSwitchesOff() throws {
        for off in ["off", "\"off\"", "false"] {
            #expect(try load(targets + "ship: {tail-interval: \(off)}").destinations[0].ship.tailInterval == nil)
        }
        #expect(try load(targets).destinations[0].ship.tailInterval == .seconds(1))
    }

    @Test(
        arguments: [
            (.shipTailInterval, ["9ms", "0s", "2d", "1", "on", "-1s"]),
            (.shipUploadsInFlight, ["0", "65", "2.5", "two", "0x2"]),
            (.shipCompressionLevel, ["0", "20", "-1"]), (.shipRetain, ["-1", "1MB", "off"]), (.shipSettle, ["31d", "10"]),
            (.shipArchiveRetain, ["59m", "36501d", "0s", "on"]),
            (.shipClaimSettle, ["9ms", "11m", "off"]),
            (.shipBandwidthLimit, ["0", "63KiB", "1mb"]), (.shipImmutable, ["yes", "1", "on", "True"]),
            (.retryDelayMax, ["99ms", "2h"]), (.httpConnectTimeout, ["99ms", "6m"]), (.httpStallTimeout, ["999ms", "2h"]),
            (.httpStallBytesPerSecond, ["0", "1kb"]),
            (.httpProxy, ["proxy:3128", "ftp://p:1", "http://u:pw@p:1", "http://p:1/path", "http://p:0"]),
            (.httpHTTP2, ["on", "2"]),
            (.logLevel, ["verbose", "INFO"]), (.shutdownDeadline, ["11m", "-1s"]),
        ] as [(SettingKey, [String])])
    func valuesOutOfRangeAreRefusedWhereTheyStand(_ key: SettingKey, _ values: [String]) {
        for value in values {
            let shown = value.contains("@") ? "" : ": '\(value)'"
            let line = targets.split(separator: "\n").count + (key.components.count == 1 ? 1 : 2)
            let inFile = refusal(yaml(key, value))
            #expect(
                inFile?.hasPrefix("w.yaml:\(line): \(key.rawValue)\(shown): expected ") == true,
                "\(inFile ?? "accepted \(value)")")
            let inEnvironment = refusal(targets, environment: [key.environmentName: value])
            #expect(
                inEnvironment?.hasPrefix("environment variable \(key.environmentName): \(key.rawValue)\(shown): expected ")
                    == true)
            let asFlag = refusal(targets, flags: [key: value])
            #expect(asFlag?.hasPrefix("\(key.flagName): \(key.rawValue)\(shown): expected ") == true)
            #expect(inFile?.contains("pw") != true)
        }
    }

    @Test(arguments: [
        (
            "shipp: {}",
            "w.yaml:1: shipp: unknown key; known here: logs, destinations, encryption, http, log, retry, s3, ship, shutdown-deadline"
        ),
        ("ship:\n  tail-intervall: 1s", "w.yaml:2: ship.tail-intervall: unknown key; known here: ship.tail-interval, "),
        ("ship: 1s", "w.yaml:1: ship: expected a section of settings below it"),
        ("ship:\n  retain: [1]", "w.yaml:2: ship.retain: expected a single value"),
        ("ship:\n  retain:", "w.yaml:2: ship.retain: expected a single value; remove the key to keep its default"),
        ("ship:\n  retain: {a: 1}", "w.yaml:2: ship.retain: expected a single value"),
        ("log: /var/lib/x", "w.yaml:1: log: expected a section with `level`"),
        ("archive: http://h/a/b", "w.yaml:1: archive: unknown key; list archives under `destinations`"),
        ("http:\n  password: hunter2", "w.yaml:2: http.password: a password does not belong in this file"),
        ("http:\n  bearer-token: hunter2", "w.yaml:2: http.bearer-token: a token does not belong in this file"),
        ("- a", "w.yaml:1: expected a mapping of settings"),
        ("just words", "w.yaml:1: 'just words': expected a mapping of settings"),
        ("a: [", "w.yaml: not valid YAML: "),
        ("ship: {retain: 1}\nship: {retain: 2}", "w.yaml: not valid YAML: "),
        ("logs: /x", "w.yaml:1: logs: '/x': expected a list of entries with path and name"),
        ("logs: [/x]", "w.yaml:1: logs[0]: '/x': expected a list of entries"),
        ("logs: [{path: /x, nmae: y}]", "w.yaml:1: logs[0].nmae: unknown key; known here: path, name"),
        ("logs: [{name: y}]\ndestinations: [{url: \"http://h\"}]", "w.yaml:1: logs[0]: has no path"),
        (
            "logs: [{path: /x, name: \"a/b\"}]\ndestinations: [{url: \"http://h\"}]",
            "w.yaml:1: logs[0].name: 'a/b': a log name has 1 to 100"
        ),
        (
            "logs: [{path: \"/x/.wal\"}]\ndestinations: [{url: \"http://h\"}]",
            "w.yaml:1: logs[0].name: '.wal': a log name has 1 to 100"
        ),
        ("logs: [{path: /x}]\ndestinations: [{name: a}]", "w.yaml:2: destinations[0]: has no url"),
        (
            "logs: [{path: /x}]\ndestinations: [{url: \"http://h\", name: A}]",
            "w.yaml:2: destinations[0].name: 'A': expected 1 to 64 lower-case"
        ),
        (
            "logs: [{path: /x}]\ndestinations: [{url: \"http://u:hunter2@h\"}]",
            "w.yaml:2: destinations[0].url: the URL http://h has a user or password in it"
        ),
        (
            "logs: [{path: /x}]\ndestinations: [{url: \"ftp://h\"}]",
            "w.yaml:2: destinations[0].url: 'ftp://h': the URL ftp://h has an unknown scheme"
        ),
        (
            "logs: [{path: /x}]\ndestinations: [{url: \"s3://b/p\"}]",
            "w.yaml:2: destinations[0].url: 's3://b/p': the URL s3://b/p names no bucket"
        ),
        ("logs: [{path: /x}]", "w.yaml: destinations: no archive is named; give --archive, WALSHIPD_ARCHIVE, or destinations"),
        ("destinations: [{url: \"http://h\"}]", "w.yaml: logs: no log is named; give --log, WALSHIPD_LOG, or logs"),
        ("", "w.yaml: logs: no log is named"), ("# only a comment", "w.yaml: logs: no log is named"),
        ("logs: [{path: /x}, {path: /x, name: y}]\ndestinations: [{url: \"http://h\"}]", "w.yaml: logs: '/x': is listed twice"),
        (
            "logs: [{path: /x}, {path: /y/x}]\ndestinations: [{url: \"http://h\"}]",
            "w.yaml: logs: 'x': two logs would share one archive"
        ),
        (
            "logs: [{path: /x}]\ndestinations: [{url: \"http://h\"}, {url: \"http://h/\"}]",
            "w.yaml: destinations: 'http://h': is listed twice"
        ),
        (
            "logs: [{path: /x}]\ndestinations: [{url: \"http://h\", name: n}, {url: \"http://i\", name: n}]",
            "w.yaml: destinations: 'n': two destinations would share"
        ),
    ])
    func filesThatCannotBeUsedAreRefused(_ yaml: String, _ message: String) {
        let refusal = refusal(yaml)
        #expect(refusal?.hasPrefix(message) == true, "\(refusal ?? "accepted")")
        #expect(refusal?.contains("hunter2") != true)
        #expect(refusal?.contains("\n") != true, "one line")
    }

    @Test func impossibleCombinationsAreRefused() {
        #expect(refusal(targets + "http: {client-key-file: /dev/null}")?.contains("a key its certificate") == true)
        #expect(refusal(targets + "http: {client-certificate-file: /dev/null}")?.contains("needs its key") == true)
        #expect(refusal(targets + "http: {query: \"?hunter2\"}")?.contains("without the ? itself") == true)
        #expect(refusal(targets + "http: {query: \"?hunter2\"}")?.contains("hunter2") == false)
        #expect(refusal(targets + "http: {username: u}")?.contains("has no password") == true)
        #expect(refusal(targets, environment: ["WALSHIPD_HTTP_PASSWORD": "hunter2"])?.contains("without a user name") == true)
        let both = refusal(
            targets + "http: {username: u}",
            environment: ["WALSHIPD_HTTP_PASSWORD": "hunter2", "WALSHIPD_HTTP_BEARER_TOKEN": "hunter2"])
        #expect(both?.contains("not both") == true)
        #expect(both?.contains("hunter2") == false)
    }

    @Test func secretsComeFromEnvironmentOrFilesAndAreNeverShown() async throws {
        try await withScratch { scratch async throws in
            let file = scratch + "/password"
            try "hunter2\n".write(toFile: file, atomically: true, encoding: .utf8)
            let named = try load(targets + "http: {username: u, password-file: \(file)}")
            guard case .basic("u", let source) = named.destinations[0].http.credentials else {
                Issue.record("no basic credentials")
                return
            }
            #expect(try source.read().value == "hunter2")
            try "rotated".write(toFile: file, atomically: true, encoding: .utf8)
            #expect(try source.read().value == "rotated", "read again each time")

            let direct = try load(
                targets + "http: {username: u, password-file: \(file)}", environment: ["WALSHIPD_HTTP_PASSWORD": "hunter2"])
            #expect(
                direct.destinations[0].http.credentials == .basic(username: "u", password: .value(Secret("hunter2"))),
                "the environment is nearer")
            let bearer = try load(targets, environment: ["WALSHIPD_HTTP_BEARER_TOKEN_FILE": file])
            guard case .bearer(let token) = bearer.destinations[0].http.credentials else {
                Issue.record("no token")
                return
            }
            #expect(try token.read().value == "rotated")

            let headers = try load(targets + "http: {headers: [\"X-Token: hunter2\"]}")
            #expect(headers.destinations[0].http.headers.map(\.name) == ["X-Token"])
            let query = try load(targets + "http: {query: hunter2}")
            #expect(query.destinations[0].http.query?.value == "hunter2")
            for settings in [named, direct, bearer, headers, query] {
                var dumped = ""
                dump(settings, to: &dumped)
                #expect(!dumped.contains("hunter2"))
                #expect(!"\(settings)".contains("hunter2"))
                #expect(!String(reflecting: settings).contains("hunter2"))
            }

            let twice = refusal(
                targets,
                environment: [
                    "WALSHIPD_HTTP_USERNAME": "u", "WALSHIPD_HTTP_PASSWORD": "hunter2", "WALSHIPD_HTTP_PASSWORD_FILE": file,
                ])
            #expect(twice?.contains("WALSHIPD_HTTP_PASSWORD is set too; remove one") == true)
            for (content, problem) in [
                ("", "single line"), ("a\nb", "single line"), ("a\u{0}b", "single line"),
                (String(repeating: "x", count: 70_000), "more than 65536 bytes"),
            ] {
                try content.write(toFile: file, atomically: true, encoding: .utf8)
                let refused = refusal(targets + "http: {bearer-token-file: \(file)}")
                #expect(refused?.contains("http.bearer-token-file: '\(file)': ") == true)
                #expect(refused?.contains(problem) == true, "\(refused ?? "accepted")")
            }
            #expect(refusal(targets + "http: {bearer-token-file: \(scratch)/none}")?.contains("cannot be read") == true)
            #expect(
                refusal(targets + "http: {ca-file: \(scratch)/none}")?.contains(
                    "http.ca-file: '\(scratch)/none': the file cannot be read") == true)
        }
    }

    @Test func headersAreListsOfLines() throws {
        let fromFile = try load(targets + "http:\n  headers:\n    - \"A: 1\"\n    - 'B-c:x: y'").destinations[0].http.headers
        #expect(fromFile.map(\.name) == ["A", "B-c"])
        #expect(fromFile.map(\.value.value) == ["1", "x: y"])
        #expect(try load(targets, environment: ["WALSHIPD_HTTP_HEADERS": "A: 1\nB-c:x: y"]).destinations[0].http.headers == fromFile)
        for wrong in [
            "noColon", "Bad Name: x", ": x", "A:", "A:\u{1}", "Host: x", "content-length: 1", "If-None-Match: *",
            "A: " + String(repeating: "x", count: 9_000),
        ] {
            let refused = refusal(targets, environment: ["WALSHIPD_HTTP_HEADERS": wrong])
            #expect(refused?.hasPrefix("environment variable WALSHIPD_HTTP_HEADERS: http.headers: ") == true, "\(wrong)")
        }
        #expect(refusal(targets + "http: {headers: \"A: 1\"}")?.contains("expected a list") == true)
        #expect(refusal(targets + "http: {headers: [A: 1]}")?.contains("in quotes because of the colon") == true)
    }

    @Test func misspeltVariablesAreTold() throws {
        let loaded = try RunSettings.load(
            file: ConfigurationFile.parse(targets, path: "w.yaml"),
            environment: ["WALSHIPD_SHIP_TAILINTERVAL": "1s", "WALSHIPD_SHIP_RETAIN": "1", "PATH": "/bin"],
            flags: [:])
        #expect(loaded.warnings.filter { $0.hasPrefix("environment") } == ["environment variable WALSHIPD_SHIP_TAILINTERVAL is not a setting and has no effect"])
    }

    @Test(arguments: [
        "http://", "http:///x", "http://h:0/x/y", "http://h:99999/x/y", "http://h /x/y", "http://h/x?y/z", "http://h/x#y",
        "http://h/a/../b",
        "http://h/a//b", "http://h", "http://h/", "http://h/.x", "file://host/x/y", "file:///", "h/x", "",
        "http://h/a\\b/c", "http://h/\u{e9}/a",
    ])
    func archiveAddressesThatNameNoArchiveAreRefused(_ url: String) {
        #expect(throws: ArchiveError.self) { try ArchiveURL(url) }
    }

    @Test func archiveAddressesAreSplit() throws {
        for (url, base, log) in [
            ("http://h/x", "http://h", "x"), ("HTTP://h:1/a/b/", "http://h:1/a", "b"),
            ("https://[::1]:9180/a/b-1.c", "https://[::1]:9180/a", "b-1.c"),
            ("file:///x/y", "file:///x", "y"),
        ] {
            let found = try ArchiveURL(url)
            #expect(found.store.description == base)
            #expect(found.logName.text == log)
            #expect(found.store.archive(of: found.logName) == found)
        }
    }

    /// The documented file: every setting is in it, and what is set there is the default.
    @Test func theDocumentedFileNamesEverySettingWithItsDefault() throws {
        let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Config/walshipd.yaml")
            .standardized.path
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let file = try ConfigurationFile.parse(text, path: path)
        for key in SettingKey.allCases where key.places.contains(.file) && file.settings[key] == nil {
            #expect(text.contains("  # \(key.components.last!):"), "\(key.rawValue) is not in the file")
        }
        let settings = try RunSettings.load(path: path, environment: [:], flags: [:]).settings
        let plain = settings.destinations.map { DestinationSettings(name: $0.name, base: $0.base) }
        #expect(settings == RunSettings(logs: settings.logs, destinations: plain))
        #expect(settings.logs.count == 1 && settings.destinations.count == 1)
        // What is commented out as an example can be uncommented.
        let examples = [
            "ca-file: ", "client-certificate-file: ", "client-key-file: ", "proxy: ", "query: ", "headers:", "  - \"X-Team", "username: ", "password-file: ", "bearer-token-file: ",
            "endpoint: ", "region: ", "credentials-file: ", "profile: ", "key-file: ", "key-command: ", "old-key-files:", "  - /etc/walshipd/key",
        ]
        var all: [String] = []
        for line in text.split(separator: "\n").map(String.init) {
            let isExample = examples.contains { line.hasPrefix("  # " + $0) }
            all.append(isExample ? "  " + line.dropFirst("  # ".count) : line)
        }
        let keys: Set<SettingKey> = [
            .httpCAFile, .httpClientCertificateFile, .httpClientKeyFile, .httpProxy, .httpQuery, .httpHeaders, .httpUsername, .httpPasswordFile, .httpBearerTokenFile,
            .s3Endpoint, .s3Region, .s3CredentialsFile, .s3Profile, .encryptionKeyFile, .encryptionKeyCommand, .encryptionOldKeyFiles,
        ]
        #expect(try keys.isSubset(of: ConfigurationFile.parse(all.joined(separator: "\n"), path: path).settings.keys))
    }

    @Test func aFileThatIsNotThereOrTooLargeIsRefused() async throws {
        try await withScratch { scratch async throws in
            for path in [scratch + "/none.yaml", scratch] {
                do {
                    _ = try RunSettings.load(path: path, environment: [:], flags: [:])
                    Issue.record("accepted \(path)")
                } catch {
                    #expect("\(error)".hasPrefix("\(path): the file cannot be read: "), "\(error)")
                }
            }
            let large = scratch + "/large.yaml"
            try Data(count: ConfigurationFile.sizeMax + 1).write(to: URL(filePath: large))
            #expect(throws: ConfigurationError.self) { try RunSettings.load(path: large, environment: [:], flags: [:]) }
        }
    }
}
