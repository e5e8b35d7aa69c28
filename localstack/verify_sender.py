"""Has the emulator's SES know an address as verified, as its owner does on AWS.

Usage: verify_sender.py ADDRESS
"""

import sys

import boto3


def main():
    boto3.client("ses").verify_email_identity(EmailAddress=sys.argv[1])


if __name__ == "__main__":
    main()
