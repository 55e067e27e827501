"""http-01: challenge files in webroots, which are folders of this machine or, over SFTP, of another one."""
