/** Of this release; a test holds it to package.json, which a bundle does not carry. */
export const version = '0.1.0'
