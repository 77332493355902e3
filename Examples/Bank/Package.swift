// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "bank",
    platforms: [.macOS(.v26)],
    // In a package of your own: .package(url: …, from: "0.1.0")
    dependencies: [.package(name: "walship", path: "../..")],
    targets: [
        .executableTarget(
            name: "bank", dependencies: [.product(name: "WAL", package: "walship")], path: "Sources",
            swiftSettings: [.enableUpcomingFeature("MemberImportVisibility")])
    ]
)
