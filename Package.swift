// swift-tools-version: 6.2
import PackageDescription

/// Every target: Swift 6 mode, no warning survives, and the upcoming features that build together.
let common: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

/// The libraries also mark every unsafe use.
let library: [SwiftSetting] = common + [.strictMemorySafety()]

let package = Package(
    name: "walship",
    platforms: [.macOS(.v26)],
    products: [
        .library(name: "WAL", targets: ["WAL"]),
        .library(name: "Archive", targets: ["Archive"]),
        .library(name: "Shipper", targets: ["Shipper"]),
        .library(name: "Follower", targets: ["Follower"]),
        .executable(name: "walshipd", targets: ["walshipd"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0", traits: []),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0", traits: []),
        // Read directly, not through swift-configuration's YAML trait: that one refuses lists of mappings (`logs`,
        // `destinations`) and shows neither the keys of a file nor their lines, which refusing unknown keys needs.
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    ],
    targets: [
        // C, each with its reason: see ARCHITECTURE.md.
        .target(name: "CCRC32C"),
        .target(name: "CLinux"),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),

        // The libraries: dependencies run one way.
        .target(name: "WAL", dependencies: ["CCRC32C", "CLinux"], swiftSettings: library),
        .target(
            name: "Archive",
            dependencies: ["WAL", "CCurl", "CZstd", "CXXHash", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: library),
        .target(
            name: "Shipper",
            dependencies: ["WAL", "Archive", .product(name: "Logging", package: "swift-log")],
            swiftSettings: library),
        .target(
            name: "Follower",
            dependencies: ["WAL", "Archive", .product(name: "Logging", package: "swift-log")],
            swiftSettings: library),

        // The program.
        .executableTarget(
            name: "walshipd",
            dependencies: [
                "WAL", "Archive", "Shipper", "Follower",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: common),

        // The example on README's first screen.
        .executableTarget(name: "FirstLog", dependencies: ["WAL"], path: "Examples/FirstLog", swiftSettings: common),

        // A service that keeps its state in a log: Examples/Bank, a package of its own too.
        .executableTarget(
            name: "bank", dependencies: ["WAL"], path: "Examples/Bank/Sources", packageAccess: false, swiftSettings: common),

        // Tests.
        .target(
            name: "TestSupport", dependencies: ["WAL", "Archive"], path: "Tests/TestSupport", swiftSettings: common),
        // A process that has a log, for tests that fail, kill or limit one.
        .executableTarget(name: "LogDriver", dependencies: ["WAL"], path: "Tests/LogDriver", swiftSettings: common),
        .testTarget(
            name: "WALTests", dependencies: ["WAL", "CCRC32C", "CLinux", "TestSupport", "LogDriver"], swiftSettings: common),
        // What users write against the library: the compiler refuses everything that is not public.
        .testTarget(name: "UserStoreTests", dependencies: ["WAL"], packageAccess: false, swiftSettings: common),
        .testTarget(name: "ArchiveTests", dependencies: ["WAL", "Archive", "TestSupport"], swiftSettings: common),
        .testTarget(
            name: "ShipperTests",
            dependencies: ["WAL", "Archive", "Shipper", "Follower", "TestSupport", .product(name: "Logging", package: "swift-log")],
            swiftSettings: common),
        .testTarget(
            name: "FollowerTests",
            dependencies: ["WAL", "Archive", "Shipper", "Follower", "TestSupport", .product(name: "Logging", package: "swift-log")],
            swiftSettings: common),
        .testTarget(
            name: "walshipdTests",
            dependencies: [
                "walshipd", "WAL", "Archive", "Shipper", "TestSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: common),
        // The map, the import rules, the documents, and a reader of the formats that is not ours.
        .testTarget(
            name: "HouseTests", dependencies: ["WAL", "Archive", "TestSupport"], swiftSettings: common),
    ]
)
