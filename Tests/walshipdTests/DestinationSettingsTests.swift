import Archive
import Foundation
import Logging
import Testing

@testable import walshipd

/// Settings of one destination: its entry in the list, against what holds for all.
@Suite struct DestinationSettingsTests {
    private func load(
        _ yaml: String, environment: [String: String] = [:], flags: [SettingKey: String] = [:]
    ) throws -> RunSettings.Loaded {
        try RunSettings.load(file: ConfigurationFile.parse(yaml, path: "w.yaml"), environment: environment, flags: flags)
    }

    private func refusal(_ yaml: String, environment: [String: String] = [:]) -> String? {
        do {
            _ = try load(yaml, environment: environment)
            return nil
        } catch {
            return "\(error)"
        }
    }

    /// Two destinations (or one), the first with `setting`, and `general` for all.
    private func yaml(_ setting: (SettingKey, String)?, general: (SettingKey, String)? = nil, isOnly: Bool = false) -> String {
        func section(_ setting: (SettingKey, String)?, _ indent: String) -> String {
            guard let (key, value) = setting else { return "" }
            return "\n\(indent)\(key.components[0]): {\(key.components[1]): \"\(value)\"}"
        }
        return "logs: [{path: /x}]" + section(general, "") + "\ndestinations:\n  - url: \"http://a\"" + section(setting, "    ")
            + (isOnly ? "" : "\n  - url: \"http://b\"")
    }

    @Test func everySettingOfADestinationIsItsOwn() throws {
        for (key, value, holds) in ConfigurationTests.samples {
            #expect(key.places.contains(.destination))
            let settings = try load(yaml((key, value))).settings
            #expect(holds(settings.destinations[0]), "\(key)")
            #expect(!holds(settings.destinations[1]), "\(key) of one destination does not hold for the other")
        }
    }

    /// A setting that is added with nothing said about it can stand in an entry.
    @Test func everySectionButThoseOfTheProgramCanStandInAnEntry() {
        for key in SettingKey.allCases where key.places.contains(.file) {
            #expect(key.places.contains(.destination) != [.logLevel, .shutdownDeadline].contains(key), "\(key)")
        }
    }

    /// All combinations of places, for one destination and for several.
    @Test func theNearestPlaceWins() throws {
        let key = SettingKey.shipUploadsInFlight
        for isOnly in [true, false] {
            for mask in 0..<16 {
                let loaded = try load(
                    yaml(mask & 1 != 0 ? (key, "14") : nil, general: mask & 2 != 0 ? (key, "11") : nil, isOnly: isOnly),
                    environment: mask & 4 != 0 ? [key.environmentName: "12"] : [:], flags: mask & 8 != 0 ? [key: "13"] : [:])
                let forAll = mask & 8 != 0 ? 13 : mask & 4 != 0 ? 12 : nil
                let general = mask & 2 != 0 ? 11 : 2
                let entry = mask & 1 != 0 ? 14 : nil
                let found = loaded.settings.destinations.map(\.ship.uploadsInFlight)
                #expect(found.first == (isOnly ? forAll ?? entry ?? general : entry ?? forAll ?? general), "mask \(mask), only \(isOnly)")
                if !isOnly { #expect(found.last == forAll ?? general, "mask \(mask)") }
                // What was given and does not hold is told.
                #expect(loaded.warnings.count { $0.contains("does not hold") } == (!isOnly && entry != nil && forAll != nil ? 1 : 0), "\(loaded.warnings)")
            }
        }
        let warnings = try load(yaml((key, "14")), flags: [key: "13"]).warnings.filter { $0.contains("does not hold") }
        #expect(warnings == ["--ship-uploads-in-flight does not hold for destinations[0], which has its own settings (w.yaml:4)"])
    }

    @Test func credentialsAreTakenFromOnePlace() async throws {
        try await withScratch { scratch async throws in
            for (name, secret) in [("a", "hunter2"), ("b", "swordfish")] {
                try secret.write(toFile: "\(scratch)/\(name)", atomically: true, encoding: .utf8)
            }
            func credentials(_ yaml: String, _ environment: [String: String] = [:]) throws -> [walshipd.HTTPSettings.Credentials?] {
                try load("logs: [{path: /x}]\n" + yaml, environment: environment).settings.destinations.map(\.http.credentials)
            }
            let general = "http: {username: all, password-file: \(scratch)/a}\n"
            let two = try credentials(
                general + "destinations: [{url: \"http://a\", http: {bearer-token-file: \(scratch)/b}}, {url: \"http://b\"}]")
            guard case .bearer(let token) = two[0], case .basic("all", let password) = two[1] else {
                Issue.record("\(two)")
                return
            }
            #expect(try token.read().value == "swordfish")
            #expect(try password.read().value == "hunter2")

            let one = try credentials(
                "destinations: [{url: \"http://a\", http: {username: me}}]", ["WALSHIPD_HTTP_PASSWORD": "hunter2"])
            #expect(one == [.basic(username: "me", password: .value(Secret("hunter2")))], "of one destination there is no doubt whose it is")

            let several = "destinations: [{url: \"http://a\", http: {username: me}}, {url: \"http://b\"}]"
            let refused = refusal("logs: [{path: /x}]\n" + several, environment: ["WALSHIPD_HTTP_PASSWORD": "hunter2"])
            #expect(
                refused?.hasPrefix("w.yaml:2: destinations[0].http.username: 'me': has no password; set password-file beside it") == true,
                "\(refused ?? "accepted")")
            let half = refusal("logs: [{path: /x}]\n\(general)destinations: [{url: \"http://a\"}, {url: \"http://b\", http: {password-file: \(scratch)/b}}]")
            #expect(half == "w.yaml:3: destinations[1].http: a password without a user name; set username beside password-file")
        }
    }

    @Test(arguments: [
        ("log: {level: debug}", "w.yaml:3: destinations[0].log: is one for the whole program"),
        ("shutdown-deadline: 1s", "w.yaml:3: destinations[0].shutdown-deadline: is one for the whole program"),
        ("shipp: {retain: 1}", "w.yaml:3: destinations[0].shipp: unknown key; known here: name, url, encryption, http, retry, s3, ship"),
        ("ship: {retian: 1}", "w.yaml:3: destinations[0].ship.retian: unknown key; known here: ship.tail-interval, "),
        ("ship: 1s", "w.yaml:3: destinations[0].ship: expected a section of settings"),
        ("ship: {retain: x}", "w.yaml:3: destinations[0].ship.retain: 'x': expected "),
        ("ship.retain: 1", "w.yaml:3: ship.retain: sections nest here: write `ship:` and below it `retain:`"),
        ("http: {password: hunter2}", "w.yaml:3: destinations[0].http.password: a password does not belong in this file"),
        ("http: {headers: hunter2}", "w.yaml:3: destinations[0].http.headers: expected a list"),
        ("http: {bearer-token-file: /none/at/all}", "w.yaml:3: destinations[0].http.bearer-token-file: '/none/at/all': the file cannot be read"),
        ("archive: x", "w.yaml:3: destinations[0].archive: unknown key"), ("log: x", "w.yaml:3: destinations[0].log: is one for the whole program"),
    ])
    func entriesThatCannotBeUsedAreRefused(_ line: String, _ message: String) {
        let refused = refusal("logs: [{path: /x}]\ndestinations:\n  - \(line)\n    url: \"http://h\"\n  - {url: \"http://i\"}")
        #expect(refused?.hasPrefix(message) == true, "\(refused ?? "accepted")")
        #expect(refused?.contains("hunter2") != true)
    }

    @Test func aGeneralSettingIsCheckedEvenWhereEveryDestinationHasItsOwn() {
        let refused = refusal(
            "logs: [{path: /x}]\nship: {retain: x}\ndestinations: [{url: \"http://a\", ship: {retain: 1}}, {url: \"http://b\", ship: {retain: 1}}]")
        #expect(refused?.hasPrefix("w.yaml:2: ship.retain: 'x'") == true)
    }

    @Test func bucketsOfOneNameAtTwoEndpointsAreTwoDestinations() throws {
        func yaml(_ first: String, _ second: String) -> String {
            "logs: [{path: /x}]\ndestinations: [{url: \"s3://bucket/p\"\(first)}, {url: \"s3://bucket/p\"\(second)}]"
        }
        let settings = try load(yaml(", s3: {endpoint: \"http://a:1\"}", ", s3: {endpoint: \"http://b:1\"}")).settings
        let names = settings.destinations.map { $0.slotName(of: settings.logs[0]) }
        #expect(Set(names).count == 2)
        #expect(refusal(yaml("", ""))?.contains("is listed twice") == true)
        #expect(
            refusal(yaml(", s3: {endpoint: \"http://a:1\"}", ", s3: {endpoint: \"HTTP://A:1\"}"))?.contains("'s3+http://a:1/bucket/p': is listed twice")
                == true)
    }

    @Test func aProfileOfOnesOwnTakesThePlaceOfKeysInTheEnvironment() throws {
        let environment = ["AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t", "AWS_PROFILE": "p", "HOME": "/h"]
        var settings = walshipd.S3Settings()
        #expect(settings.credentialEnvironment(environment) == environment)
        settings.profile = "q"
        #expect(settings.credentialEnvironment(environment) == ["AWS_PROFILE": "q", "HOME": "/h"])
        settings.credentialsFile = "/f"
        settings.profile = nil
        #expect(settings.credentialEnvironment(environment) == ["AWS_PROFILE": "p", "AWS_SHARED_CREDENTIALS_FILE": "/f", "HOME": "/h"])
    }

    @Test func tailsAreOffByDefaultInAnImmutableArchive() throws {
        func tail(_ ship: String) throws -> RunSettings.Loaded {
            try load("logs: [{path: /x}]\ndestinations: [{url: \"https://a\", name: n, ship: {\(ship)}}]")
        }
        #expect(try tail("immutable: true").settings.destinations[0].ship.tailInterval == nil)
        #expect(try tail("immutable: true").warnings.isEmpty)
        let both = try tail("immutable: true, tail-interval: 10s")
        #expect(both.settings.destinations[0].ship.tailInterval == .seconds(10))
        #expect(both.warnings.first?.hasPrefix("n: tails are kept for ever in an immutable archive: up to 8640 objects a day") == true)
        #expect(try tail("immutable: false").settings.destinations[0].ship.tailInterval == .seconds(1))
    }

    @Test(arguments: [
        ("{url: \"http://127.0.0.1:1/x\"}", nil), ("{url: \"https://h/x\"}", nil), ("{url: \"s3://bucket\"}", nil), ("{url: \"file:///x\"}", nil),
        ("{url: \"http://[::1]:1/x\"}", nil), ("{url: \"http://localhost/x\"}", nil),
        ("{url: \"http://h/x\"}", "http://h/x: what is shipped crosses the network unencrypted; use https://"),
        ("{url: \"s3://bucket\", s3: {endpoint: \"http://h\", payload: unsigned}}", "s3+http://h/bucket: what is shipped crosses the network unencrypted"),
        ("{url: \"file:///x\", ship: {bandwidth-limit: 1MiB}}", "file:///x: ship.bandwidth-limit has no effect"),
    ] as [(String, String?)])
    func whatIsPerhapsNotMeantIsTold(_ destination: String, _ warning: String?) throws {
        let warnings = try load("logs: [{path: /x}]\ndestinations: [\(destination)]").warnings
        if let warning { #expect(warnings.first?.hasPrefix(warning) == true, "\(warnings)") } else { #expect(warnings == []) }
    }

    @Test func oneSecretForTwoServersIsTold() async throws {
        try await withScratch { scratch async throws in
            try "hunter2".write(toFile: "\(scratch)/p", atomically: true, encoding: .utf8)
            func warnings(_ second: String) throws -> [String] {
                try load(
                    "logs: [{path: /x}]\nhttp: {username: u, password-file: \(scratch)/p}\ndestinations: [{url: \"https://a/x\"}, {url: \"\(second)\"}]"
                ).warnings
            }
            #expect(try warnings("https://b/x").first?.hasPrefix("the same password or token is sent to a and b") == true)
            #expect(try warnings("https://a/y").isEmpty)
            #expect(try warnings("s3://bucket").isEmpty, "it is not sent to buckets")
        }
    }
}
