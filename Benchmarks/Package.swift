// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who uses the libraries builds it. It sees what their users see: public API only.

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let package = Package(
    name: "walship-benchmarks",
    platforms: [.macOS(.v26)],
    dependencies: [
        .package(name: "walship", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    ],
    targets: [
        // The inner loops of the limits, in C: as little around the work as there can be. Its CCRC32C.h is a link to that of the log, so both
        // call the same function, which the library WAL brings along.
        .target(name: "CLimits", dependencies: [.product(name: "WAL", package: "walship")]),
        // Counts heap allocations by standing before those of the C library.
        .target(name: "CAllocations"),
        .executableTarget(
            name: "Benchmarks",
            dependencies: [
                "CLimits", "CAllocations",
                .product(name: "WAL", package: "walship"),
                .product(name: "Follower", package: "walship"),
                // Not linked: built beside, and run as its users do.
                .product(name: "walshipd", package: "walship"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),
    ]
)
