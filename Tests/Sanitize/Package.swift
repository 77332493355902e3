// swift-tools-version: 6.2
import PackageDescription

/// The log and its tests alone, for `make sanitize`: the rest of the project and its dependencies take many minutes more to build with a sanitizer, and have
/// no threads that share memory with these. Its settings are the project's (`ImportRulesTests` compares them); what else it shares are symbolic links; of TestSupport only what the log's tests need.
let common: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]
let library: [SwiftSetting] = common + [.strictMemorySafety()]
let package = Package(
    name: "walship", platforms: [.macOS(.v26)],
    targets: [
        .target(name: "CCRC32C"), .target(name: "CLinux"),
        .target(name: "WAL", dependencies: ["CCRC32C", "CLinux"], swiftSettings: library),
        .target(name: "TestSupport", dependencies: ["WAL"], path: "Tests/TestSupport", swiftSettings: common),
        .target(name: "CMutexHooks", path: "CMutexHooks"),
        .executableTarget(name: "Planted", dependencies: ["CMutexHooks"], path: "Planted", swiftSettings: common),
        .executableTarget(name: "LogDriver", dependencies: ["WAL"], path: "Tests/LogDriver", swiftSettings: common),
        .testTarget(name: "WALTests", dependencies: ["WAL", "CCRC32C", "CLinux", "TestSupport", "LogDriver", "CMutexHooks"], swiftSettings: common),
    ])
