import Foundation

/// What a machine must have for tests with mounts.
package enum Mounts {
    package static let reason = "needs root and a mount namespace (unshare, nsenter, mount)"
    /// Root alone does not do: a container may be root and forbid it.
    package static let arePossible: Bool =
        geteuid() == 0 && ["unshare", "nsenter", "mount"].allSatisfy { ChildProcess.find($0) != nil } && works("mount -t tmpfs none /mnt")
    package static let loopReason = "needs root, loop devices and mkfs.ext4"
    package static let canLoop: Bool =
        arePossible && ChildProcess.find("mkfs.ext4") != nil
        && works("mount -t tmpfs none /mnt && truncate -s 4m /mnt/i && mkfs.ext4 -q /mnt/i && mkdir /mnt/m && mount -o loop /mnt/i /mnt/m")

    /// A shell's lines that make an ext4 file system at `mnt`, whose image `small/image` lies on a tmpfs that is smaller than it.
    package static func image(onTmpfsOf size: String) -> String {
        """
        mkdir small mnt; mount -t tmpfs -o size=\(size) none small; truncate -s 64m small/image
        mkfs.ext4 -q small/image; mount -o loop small/image mnt
        """
    }

    private static func works(_ line: String) -> Bool {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/unshare")
        process.arguments = ["-m", "sh", "-c", line]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
